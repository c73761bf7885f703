// Package steps has what is -1 when there is nothing more to do.
package steps

import "time"

const Stop time.Duration = -1

type Steps struct{ left int }

func (s *Steps) Next() time.Duration {
	if s.left == 0 {
		return Stop
	}
	s.left--
	return time.Minute
}
