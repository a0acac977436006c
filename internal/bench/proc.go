package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockTick is the unit of /proc's times: Linux tells user space 100 a second, whatever it counts in.
const clockTick = time.Second / 100

// cpu returns the CPU time that what is watched of rastro has used, and that of its PostgreSQL.
func (s *stack) cpu() (watched, database time.Duration) {
	for _, p := range s.watched {
		own, below := cpuOf(p.cmd.Process.Pid)
		watched += own
		database += below
	}
	if len(s.beside) == 0 {
		return watched, database
	}
	_, database = cpuOf(os.Getpid())
	for _, p := range s.beside {
		own, _ := cpuOf(p.cmd.Process.Pid)
		database -= own
	}
	return watched, database - watched
}

// cpuOf returns the CPU time that a process has used, and that of all below it, ended ones included; zero where there is no /proc.
func cpuOf(root int) (own, below time.Duration) {
	parents, used := map[int]int{}, map[int]time.Duration{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, 0
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		parent, itself, ended, ok := statOf(pid)
		if !ok {
			continue
		}
		parents[pid], used[pid] = parent, itself
		if pid != root {
			used[pid] += ended
		}
	}
	for pid, time := range used {
		for at := pid; at > 1; at = parents[at] {
			if at == root {
				if pid == at {
					own += time
				} else {
					below += time
				}
				break
			}
		}
	}
	return own, below
}

// ownCPU returns the CPU time that this process has used; unlike cpuOf it costs next to nothing.
func ownCPU() time.Duration {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// statOf reads a process's parent, its own CPU time and that of its children that have ended.
func statOf(pid int) (parent int, own, ended time.Duration, ok bool) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, false
	}
	_, rest, found := strings.Cut(string(line), ") ") // the name may hold anything before
	fields := strings.Fields(rest)
	if !found || len(fields) < 15 {
		return 0, 0, 0, false
	}
	numbers := make([]int, 15)
	for i := 1; i < 15; i++ {
		numbers[i], _ = strconv.Atoi(fields[i]) // those that are no numbers are not used
	}
	return numbers[1], time.Duration(numbers[11]+numbers[12]) * clockTick, time.Duration(numbers[13]+numbers[14]) * clockTick, true
}

// peakRSS returns the most memory that a watched process has had resident, in MiB, without PostgreSQL's; 0 where there is no /proc.
func (s *stack) peakRSS() float64 {
	peak := 0.0
	for _, p := range s.watched {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)) // as said
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		if fields := strings.Fields(rest); len(fields) > 0 {
			kib, _ := strconv.ParseFloat(fields[0], 64) // as the kernel writes it
			peak = max(peak, kib/1024)
		}
	}
	return peak
}
