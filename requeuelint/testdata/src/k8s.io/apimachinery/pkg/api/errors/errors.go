// Package errors stands in for the real one.
package errors

func IsNotFound(err error) bool { return err != nil }
