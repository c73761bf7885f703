package queuesim

import (
	"fmt"
	"time"
)

// Overload is steady: 10,000 objects polled every 5 minutes are 167 % of what two
// workers can do.
func Overload(share float64) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("steady overload, %v %%", 100*share),
		Share: share, WarmUp: time.Hour, Measured: 2 * time.Hour,
	}
}

// Storm adds all objects every 10 minutes, as a resync does.
func Storm(workers int, share float64) Scenario {
	return Scenario{
		Name:  fmt.Sprintf("storm, %d workers, %v %%", workers, 100*share),
		Share: share, Workers: workers, Resync: 10 * time.Minute,
		WarmUp: 20 * time.Minute, Measured: 40 * time.Minute,
	}
}

// AtOnce has all deadlines pass at one instant.
func AtOnce(workers int, share float64) Scenario {
	return Scenario{
		Name:    fmt.Sprintf("herd, %d workers, %v %%", workers, 100*share),
		Workers: workers, Share: share, Herd: 30 * time.Minute,
		WarmUp: 20 * time.Minute, Measured: 30 * time.Minute,
	}
}

// FailingForEver is 240 objects whose deadline has passed and which fail for ever,
// more than what two workers can do, next to 120 that come and go and are to be acted on
// in time.
func FailingForEver() Scenario {
	return Scenario{
		Name: "failing", Failing: 240, Backoff: time.Second, Service: 10 * time.Millisecond, Known: true,
		Objects: 120, Share: 1, Distance: 30 * time.Second, Finish: 0.2, Events: 30 * time.Second,
		WarmUp: time.Minute, Measured: 5 * time.Minute,
	}
}

// FailingBeside is the same beside objects whose events alone take that share of what the
// workers can do.
func FailingBeside(share float64) Scenario {
	s := FailingForEver()
	s.Name = fmt.Sprintf("failing, events take %v %%", 100*share)
	s.Objects, s.Distance, s.Finish, s.Poll = 8000, 100*time.Hour, 0, 10*time.Hour
	s.Events = time.Duration(40 / share * float64(time.Second)).Round(time.Second)
	s.Measured = 20 * time.Minute
	return s
}

// Outages is steady overload, with writes that fail for 30 s every 10 minutes.
func Outages() Scenario {
	s := Overload(1)
	s.Name, s.Outage = "outages", 30*time.Second
	return s
}

// Conflicting is steady overload, with two conflicts at each deadline.
func Conflicting() Scenario {
	s := Overload(0.2)
	s.Name, s.Conflicts = "two conflicts", 2
	return s
}

// MovedByEvents is steady overload, with an event of each object that has deadlines every
// hour, which moves the deadline, or only makes it sooner.
func MovedByEvents(shorten, known bool) Scenario {
	s := Overload(0.2)
	s.Name, s.Events, s.Shorten, s.Known = "moved", time.Hour, shorten, known
	if shorten {
		s.Name = "shortened"
	}
	if known {
		s.Name += ", known"
	}
	return s
}

// AfterRestart has all objects come in by one list. Where the deadlines are known,
// the queue of package deadlinequeue asks for them.
func AfterRestart(workers int, share float64, known bool) Scenario {
	s := Scenario{
		Name:    fmt.Sprintf("restart, %d workers, %v %%", workers, 100*share),
		Workers: workers, Share: share, Restart: true, Known: known, Measured: 2 * time.Hour,
	}
	if known {
		s.Name += ", known"
	}
	if workers > 2 {
		s.Measured = 30 * time.Minute // they have done with the list by then
	}
	return s
}
