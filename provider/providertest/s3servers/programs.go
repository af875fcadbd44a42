package s3servers

import (
	"net"
	"path/filepath"
	"testing"

	"firescan/provider/providertest/ports"
	"firescan/provider/providertest/process"
)

// minio is MinIO with one directory. The module has no tags of releases.
func minio(tb testing.TB) process.Server {
	tb.Helper()
	dir := tb.TempDir()
	return process.Server{
		Package: "github.com/minio/minio", Version: "v0.0.0-20260212201848-7aac2a2c5b7c",
		Args: func(host, port string) []string {
			return []string{"server", "--quiet", "--address", net.JoinHostPort(host, port), dir}
		},
		Env: []string{
			"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", // neither a second port, nor a call to its makers
		},
	}
}

// seaweedfs is SeaweedFS with all of its parts in one process.
func seaweedfs(tb testing.TB) process.Server {
	tb.Helper()
	dir := tb.TempDir()
	return process.Server{
		Package: "github.com/seaweedfs/seaweedfs/weed", Version: "v0.0.0-20261109003541-7506e5f91cd6",
		Replace: []string{"github.com/tyler-smith/go-bip39=github.com/cosmos/go-bip39@v1.0.0"},
		Args: func(host, port string) []string {
			args := []string{
				"-logtostderr", "server", "-dir", dir, "-ip", host, "-ip.bind", host, "-filer", "-s3", "-s3.port", port,
				"-s3.autoCreateBucket=false", "-s3.port.iceberg", "0", "-s3.port.lance", "0", "-master.telemetry=false", "-volume.max", "100",
				"-master.volumeSizeLimitMB", "64",
				"-filer.localSocket", filepath.Join(dir, "filer"), "-s3.localSocket", filepath.Join(dir, "s3"),
			}
			for _, listener := range []string{
				"master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port.grpc",
			} {
				address, err := ports.Free()
				if err != nil {
					tb.Fatal(err)
				}
				_, port, _ := net.SplitHostPort(address)
				args = append(args, "-"+listener, port)
			}
			return args
		},
		Env: []string{"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey},
	}
}

// rclone is a version of rclone, with what serves a directory alone: it is built sooner.
func rclone(version string) func(tb testing.TB) process.Server {
	return func(tb testing.TB) process.Server {
		tb.Helper()
		dir := tb.TempDir()
		return process.Server{
			Package: "github.com/rclone/rclone", Version: version,
			Source: `package main

import (
	_ "github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/cmd"
	_ "github.com/rclone/rclone/cmd/serve/s3"
)

func main() { cmd.Main() }
`,
			Args: func(host, port string) []string {
				return []string{"serve", "s3", "--addr", net.JoinHostPort(host, port), "--auth-key", AccessKey + "," + SecretKey, dir}
			},
			Env: []string{"RCLONE_CONFIG=/dev/null"},
		}
	}
}
