package routers

// FramesInHand is how many frames a worker of a hop has in hand at most, those that wait for it included.
const FramesInHand = framesInHand
