// Package pipeline is the engine without I/O: batches of events and the stages that settle them, pipelines as YAML (Spec),
// laid out in hops (Plan), and the run of a hop's stages over a batch (Chain). Transports, routers and stores are built on it
// and not known to it. Conditions on events (Condition) are written in CEL.
//
// # The engine's contract
//
// These hold at any moment, whatever is killed. Each is cited by its number where it is enforced, and has a test that fails
// when it is not.
//
//  1. Every event of a batch ends with exactly one outcome at a stage: it passes, is dropped, rejected or retried. The first
//     verdict stands. (Batch)
//  2. A frame is acknowledged only after everything that it led to is published or committed. (routers: hop)
//  3. A rejected event is dead-lettered with stage, reason and what was received. (routers: dead letters)
//  4. A retry concerns only the events that are retried; their batch mates go on. (Chain, routers: hop)
//  5. An error that a stage returns is a retry of every event that it had not settled. (Chain)
//  6. Only a newly inserted event advances its trace, in the transaction that inserts it. (store: Persist)
//  7. A claim binds a business key to the UID that came first: the same UID again is a redelivery and passes, another is a
//     duplicate and is dropped. A crash between claim and publish loses nothing. (store: Claim, stages/dedupe)
//  8. An outage is not a poison message: while a stage's dependency is down its hop receives nothing, and nothing burns
//     through its receive count or its attempts: those are used up only while the stage works. Nor does anything while
//     somebody has paused the stage. (routers: Gate, breakers, Pauses, Chain)
//  9. Fusing stages changes where queues lie, not what becomes of events; `when`, `retry`, `timeout` and `breaker` are each
//     stage's own either way. (Chain, Plan)
//  10. A trace is a pure fold of its events: any order, duplication or redelivery of them gives the same trace. (tracking: Fold)
//  11. A running pipeline never changes: another config is another generation, and one that does not lint changes nothing.
//     Between two generations nothing is lost: what waits in topics that the next does not read is worked off first. (Parse,
//     routers: Processor, Retire)
//  12. Shutdown drains: receiving stops, what is in hand is finished, and what is not finished by the deadline is
//     redelivered. (routers: Processor, Subscriber)
//  13. An event's tenant is its sender's token's, whatever the body says, and the database confines who reads to their
//     tenant. (api/ingest, store)
//  14. Everything reconciles: received = passed + duplicates + dropped + dead-lettered + in flight, per tenant and pipeline,
//     whatever is killed or delivered again. (routers: ledger, store: AddLedger)
package pipeline
