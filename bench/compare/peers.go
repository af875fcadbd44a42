package main

import (
	"strings"
)

// peer is another program that lists a bucket.
type peer struct {
	who string
	// The program is package pkg of module at version.
	module, version, pkg string
	// command returns the command that lists the bucket at an endpoint. dir is a
	// directory for the program's configuration.
	command func(bin, dir, endpoint string) (cmd, env []string)
}

const (
	accessKey = "AKIABENCHBENCHBENCH0"
	secretKey = "bench-bench-bench-bench-bench-bench-bench"
)

var awsEnv = []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "AWS_REGION=us-east-1"}

var peers = []peer{
	{
		who: "rclone", module: "github.com/rclone/rclone", version: "v1.76.0", pkg: "github.com/rclone/rclone",
		command: func(bin, _, endpoint string) ([]string, []string) {
			return []string{
				bin, "lsf", "-R", "--fast-list", "--files-only", "--format", "ps", "--s3-provider", "Other", "--s3-env-auth",
				"--s3-endpoint", endpoint, ":s3:" + bucketName,
			}, append([]string{"RCLONE_CONFIG=/dev/null"}, awsEnv...)
		},
	},
	{
		who: "mc", module: "github.com/minio/mc", version: "v0.0.0-20250313080218-cf909e1063a9", pkg: "github.com/minio/mc",
		command: func(bin, dir, endpoint string) ([]string, []string) {
			return []string{bin, "--config-dir", dir, "ls", "-r", "--json", "bench/" + bucketName},
				[]string{"MC_HOST_bench=" + strings.Replace(endpoint, "http://", "http://"+accessKey+":"+secretKey+"@", 1)}
		},
	},
	{
		who: "s5cmd", module: "github.com/peak/s5cmd/v2", version: "v2.3.0", pkg: "github.com/peak/s5cmd/v2",
		command: func(bin, _, endpoint string) ([]string, []string) {
			return []string{bin, "--endpoint-url", endpoint, "ls", "s3://" + bucketName + "/*"}, awsEnv
		},
	},
}

// programNames returns the names of all programs that can be measured.
func programNames() []string {
	all := []string{"firescan"}
	for _, p := range peers {
		all = append(all, p.who)
	}
	return append(all, "sdk", "bytes")
}
