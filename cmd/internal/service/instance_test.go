package service_test

import (
	"testing"

	"utopia/cmd/internal/config"
	"utopia/cmd/internal/service"
)

func TestAWorkerKeepsItsName(t *testing.T) {
	c := config.Default()
	c.StateDir = t.TempDir()
	first, err := service.Instance(c, "mailer-instance")
	if err != nil || first == "" {
		t.Fatal(first, err)
	}
	if again, err := service.Instance(c, "mailer-instance"); again != first || err != nil {
		t.Errorf("%s, then %s, %v", first, again, err)
	}
	c.Instance = "a"
	if named, err := service.Instance(c, "mailer-instance"); named != "a" || err != nil {
		t.Error(named, err)
	}
}
