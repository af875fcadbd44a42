package catalog

import (
	"strings"

	"firescan/keyspace"
)

// A backup that is named by its manifest needs the files that the manifest lists. They lie in
// the same folder, with few exceptions. docs/references.md lists the tools.

// manifestFolder returns the folder of the files that a manifest lists; empty when the key is
// not that of a manifest, or its folder is the whole bucket.
func manifestFolder(key string) string {
	slash := strings.LastIndexByte(key, '/') + 1
	folder, name := key[:slash], key[slash:]
	switch name {
	case "backup_manifest", "backup.info", "BACKUP_METADATA", ".backup", "velero-backup.json",
		"backup_label", "toc.dat", "xtrabackup_checkpoints", "xtrabackup_info", "mariadb_backup_checkpoints", "mariadb_backup_info",
		"backup-my.cnf", "@.json", "@.done.json", "@.sql", "_SUCCESS", "backupmeta", "backup.lock", "backup.properties", "backup-meta.json",
		"metadata.json", "metadata", "_metadata", "metadata.sst", "meta.json", "schema.cql", "tokenmap.json", "backup_name.json",
		"index.latest", "volume.cfg", "config", "kopia.repository", "spanner-export.json",
		"base.tar", "base.tar.gz", "base.tar.lz4", "base.tar.zst", "data.tar", "data.tar.gz", "data.tar.bz2", "data.tar.snappy":
		return ofMeta(folder)
	}
	for _, suffix := range []string{"_backup_stop_sentinel.json", ".pbm.json"} { // of a folder beside it
		if data, ok := strings.CutSuffix(name, suffix); ok && data != "" {
			return folder + data + "/"
		}
	}
	if i := strings.Index(key, "backup/meta/cluster/"); i == 0 || i > 0 && key[i-1] == '/' {
		return key[:i] + "backup/" // of ScyllaDB, with the data in backup/sst
	}
	if isManifest(name) {
		return ofMeta(folder)
	}
	return ""
}

// isManifest reports whether the name of a file is that of a manifest by what it contains.
func isManifest(name string) bool {
	for _, word := range []string{"manifest", "MANIFEST", "Manifest"} {
		if strings.Contains(name, word) {
			_, kind := keyspace.CutSuffix([]byte(name))
			return kind == keyspace.NoSuffix
		}
	}
	for _, suffix := range []string{".overall_export_metadata", ".export_metadata", ".metadata.json", ".dlist.zip", ".dlist.zip.aes"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	for _, prefix := range []string{"export_info_", "export_tables_info_", "gpbackup_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// ofMeta returns the folder of a backup whose manifest lies in a folder, which may be one for
// manifests only, beside those of the data.
func ofMeta(folder string) string {
	for _, meta := range []string{"/meta/", "/metadata/"} {
		if parent, ok := strings.CutSuffix(folder, meta); ok && parent != "" {
			return parent + "/"
		}
	}
	return folder
}

// sentinelOf returns the key of the file that WAL-G writes beside the folder of a backup, which
// a key names; empty if it does not.
func sentinelOf(key string) string {
	i := strings.Index(key, "basebackups_")
	if i < 0 || i > 0 && key[i-1] != '/' {
		return ""
	}
	folder, name, ok := strings.Cut(key[i:], "/")
	name, _, _ = strings.Cut(name, "/")
	if !ok || name == "" || strings.HasSuffix(name, ".json") {
		return ""
	}
	return key[:i] + folder + "/" + name + "_backup_stop_sentinel.json"
}
