// Package outbound calls HTTP services that belong to others: with limits on how long that takes and how much is read, without
// handing credentials to anyone but the host that they are meant for, and with errors that say what is the matter without
// quoting the address, which may hold a key.
package outbound
