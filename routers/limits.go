package routers

// What a processor has in hand at most, and how long it waits for more: what brokers are asked for depends on it.
const (
	// FramesInHand is how many frames a worker of a hop has in hand at most, those that wait for it included.
	FramesInHand = framesInHand
	// LettersInHand is how many frames of dead letters the reader of that topic has in hand at most.
	LettersInHand = lettersInHand
	// LedgerInHand is how many frames the reader of the ledger has in hand at most, and LedgerLinger how long it gathers them.
	LedgerInHand = ledgerInHand
	LedgerLinger = ledgerLinger
)
