// Package dashboard is the edge that browsers load the dashboard from: its built files, under a strict content security
// policy, and the sign-in that goes with them. The data comes from the query edge.
package dashboard
