package routers

// AsReceived is asReceived for tests.
var AsReceived = asReceived

// LastForm is the form of a frame that no version writes yet.
const LastForm = lastForm
