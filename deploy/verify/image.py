"""Checks what an image says of itself: image.py FILE, which `buildah inspect` wrote."""
import json, sys

image = json.load(open(sys.argv[1]))
config = image["Docker"]["config"]
assert config["User"] == "65532:65532", config["User"]
assert config["Entrypoint"] == ["/usr/local/bin/rastro"], config
assert config["Cmd"][0] == "serve", config
assert "8080/tcp" in config["ExposedPorts"], config
assert not config.get("Volumes"), "nothing is written"
# In nanoseconds.
check = config["Healthcheck"]
assert check["Test"] == ["CMD", "/usr/local/bin/rastro", "healthcheck", "--live"], check
assert check["Interval"] == 10e9 and check["Timeout"] == 5e9 and check["Retries"] == 3, check
labels = config["Labels"]
for name in "title", "description", "source", "licenses", "version", "revision", "created":
    assert labels.get("org.opencontainers.image." + name), f"no label {name}: {labels}"
assert labels["org.opencontainers.image.version"] == "verify", labels
assert len(labels["org.opencontainers.image.revision"]) == 40, labels
for variable in config.get("Env") or []:
    assert not any(word in variable for word in ("SECRET", "PASSWORD", "KEY", "GOPROXY")), variable
print("  user", config["User"], "cmd", config["Cmd"], "health check", check["Test"][1:], "labels", len(labels))
