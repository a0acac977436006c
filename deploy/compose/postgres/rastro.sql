-- What whoever looks after the server prepares once: see docs/database.md.
CREATE ROLE rastro_query NOLOGIN;
CREATE ROLE rastro LOGIN PASSWORD 'rastro';
GRANT rastro_query TO rastro;
GRANT rastro TO CURRENT_USER;
CREATE DATABASE rastro OWNER rastro;
