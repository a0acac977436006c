// Package seal encrypts data under keys of its own, and keeps those keys wrapped by master keys.
//
// Data is sealed by AES-256 in Galois/Counter Mode (NIST SP 800-38D) with random nonces, and bound to where it belongs by what is
// authenticated beside it (Bind): what was moved elsewhere does not open. A data key is wrapped under a key that HKDF-SHA256
// (RFC 5869) derives from the master key and a random salt, so that a master key may wrap as many as there are. Whoever destroys a
// wrapped data key makes unreadable whatever was sealed under it.
package seal
