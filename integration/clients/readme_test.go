//go:build foreign

package clients

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"utopia/topics"
)

// What the README's programs are put into, so that the README shows what matters. Everything else is as it stands there.
const (
	goProgram = `package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"utopia/processors"
	"utopia/processors/ask"
	"utopia/schemas"
	"utopia/topics"
)

func move(ctx context.Context) error {
%s
	return read(ctx, ids)
}

func read(ctx context.Context, ids *schemas.Registry) error {
	done := make(chan error, 1)
%s
	return err
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := move(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`
	javaProgram = `import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.net.URI;
import java.net.http.*;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.*;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.generic.GenericData.EnumSymbol;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

public final class Readme {
  public static void main(String[] args) throws Exception {
%s
  }
}
`
)

// blocks returns the README's code blocks in a language, with the addresses of a running system in them.
func (s *system) blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, part := range strings.Split(string(text), "\n```"+language+"\n")[1:] {
		block, _, ok := strings.Cut(part, "\n```")
		if !ok {
			t.Fatalf("a block in %s has no end", language)
		}
		block = strings.ReplaceAll(block, "http://127.0.0.1:8081", s.registry)
		all = append(all, strings.ReplaceAll(block, "127.0.0.1:9092", s.broker))
	}
	return all
}

// block returns the one block that contains a text.
func (s *system) block(t *testing.T, language, with string) string {
	t.Helper()
	var found []string
	for _, b := range s.blocks(t, language) {
		if strings.Contains(b, with) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d blocks in %s have %q", len(found), language, with)
	}
	return found[0]
}

// environment is what somebody who follows the README has: our binaries, and a running system.
func (s *system) environment() []string {
	return append(os.Environ(), "PATH="+filepath.Dir(s.bin)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"UTOPIA_BROKERS="+s.broker, "UTOPIA_REGISTRY="+s.registry)
}

// moves counts the accepted requests of c-17 to move.
func (s *system) moves(t *testing.T) int {
	t.Helper()
	out := run(t, ".", nil, s.bin, "consume", topics.CustomerReplies.Name, "--brokers", s.broker, "--registry", s.registry, "--value", "-o", "json")
	n := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var r struct{ Key, CommandType, CommandID, Outcome, Refusal string }
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if r.Key != "c-17" {
			continue
		}
		n++
		if r.Outcome != "accepted" {
			t.Errorf("%+v", r)
		}
	}
	return n
}

// TestTheReadmeInEveryLanguage runs the README's blocks, in its order, as somebody does who follows it from the top.
func TestTheReadmeInEveryLanguage(t *testing.T) {
	s := up(t)
	dir := t.TempDir()
	want := 0
	answered := func(t *testing.T, more int) {
		t.Helper()
		want += more
		for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			n := s.moves(t)
			if n == want {
				return
			}
			if n > want || time.Now().After(deadline) {
				t.Fatalf("%d answers to c-17, want %d", n, want)
			}
		}
	}
	shell := func(t *testing.T, script string) string {
		t.Helper()
		return string(runIn(t, dir, s.environment(), nil, "sh", "-eu", "-c", script))
	}
	if !t.Run("command line", func(t *testing.T) {
		out := shell(t, s.block(t, "sh", "utopia customer register c-17"))
		for _, w := range []string{"customer/c-17@2", "pending change", "billing/c-17@"} {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
		answered(t, 2)
	}) {
		return
	}
	t.Run("Go", func(t *testing.T) {
		program := fmt.Sprintf(goProgram, s.block(t, "go", "ask.New"), s.block(t, "go", "NewCustomerView"))
		file := filepath.Join(dir, "readme.go")
		write(t, file, program)
		bin := filepath.Join(dir, "readme")
		run(t, root, nil, "go", "build", "-o", bin, file)
		out := string(run(t, dir, nil, bin))
		if !strings.HasPrefix(out, "accepted  3\n") || !strings.Contains(out, "Arlington [c-17]") {
			t.Errorf("%s", out)
		}
		answered(t, 1)
	})
	t.Run("kcat", func(t *testing.T) {
		tool(t, "kcat")
		shell(t, s.block(t, "sh", "kcat -P"))
		answered(t, 1)
	})
	t.Run("Python", func(t *testing.T) {
		tool(t, "python3")
		python := strings.TrimSpace(string(run(t, ".", nil, "sh", "python/install.sh")))
		run(t, dir, nil, python, "-B", "-c", s.block(t, "python", "AvroSerializer"))
		answered(t, 1)
	})
	t.Run("Java", func(t *testing.T) {
		mvn := tool(t, "mvn")
		project := filepath.Join(dir, "java")
		pom, err := os.ReadFile("java/pom.xml")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(project, "pom.xml"), strings.Replace(string(pom), "<directory>${maven.multiModuleProjectDirectory}/../../../.cache/clients/java</directory>", "", 1))
		write(t, filepath.Join(project, "src/main/java/Readme.java"), fmt.Sprintf(javaProgram, s.block(t, "java", "KafkaProducer")))
		run(t, project, nil, mvn, "--batch-mode", "--quiet", "compile", "exec:java", "-Dexec.mainClass=Readme")
		answered(t, 1)
	})
}

// TestTheReadmeDeploys types the README's lines for a cluster, on one of three brokers. Of the services it asks for the
// effective configuration, which refuses what they would refuse; that they run is tested in cmd and in integration/kill.
func TestTheReadmeDeploys(t *testing.T) {
	dir := t.TempDir()
	run(t, root, nil, "go", "build", "-o", dir+string(os.PathSeparator), "./cmd/...")
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.BrokerConfigs(map[string]string{"add.partitions.to.txn.retry.backoff.ms": "1"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	s := &system{bin: filepath.Join(dir, "utopia"), broker: cluster.ListenAddrs()[0], registry: registry.URL()}
	certificate(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	known := []string{"utopia", "customer", "billing", "notification", "gateway", "mail", "webhook"}
	seen := map[string]int{}
	for line := range strings.Lines(s.block(t, "sh", "utopia topics plan")) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if !slices.Contains(known, words[0]) {
			t.Fatalf("the README deploys with %q", line)
		}
		seen[words[0]]++
		line = strings.NewReplacer("kafka-1:9092", s.broker, "https://registry:8081", s.registry).Replace(line)
		if words[1] == "run" {
			line = strings.Replace(line, " run ", " config check ", 1)
		}
		t.Log(line)
		runIn(t, dir, s.environment(), nil, "sh", "-eu", "-c", line)
	}
	if want := map[string]int{"utopia": 4, "customer": 1, "billing": 1, "notification": 1, "gateway": 2, "mail": 2, "webhook": 2}; !cmp.Equal(seen, want) {
		t.Errorf("%v, want %v", seen, want)
	}
}

// certificate writes one that nobody has signed, which whoever deploys has from elsewhere.
func certificate(t *testing.T, certFile, keyFile string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
