package routers

// AsReceived is asReceived for tests.
var AsReceived = asReceived
