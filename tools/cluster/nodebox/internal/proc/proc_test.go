package proc

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

func TestAProcessThatEndsWhileItIsLookedAtIsGone(t *testing.T) {
	for range 200 {
		process := exec.Command("true")
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		reaped := make(chan error, 1)
		go func() { reaped <- process.Wait() }()
		for waiting := true; waiting; {
			select {
			case err := <-reaped:
				if err != nil {
					t.Fatal(err)
				}
				waiting = false
			default:
			}
			if _, err := Birth(process.Process.Pid); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
}

func TestBirthTellsAProcessFromALaterOneOfItsNumber(t *testing.T) {
	birth, err := Birth(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !Alive(os.Getpid(), birth) || Alive(os.Getpid(), birth+1) {
		t.Fatalf("born at %d", birth)
	}
}
