package bucketserver

// Type is the type of a file by its name, in the order in which firescan counts them.
type Type uint8

// The types of files.
const (
	Backup Type = iota
	Meta
	Auth
	Pitr
	Unknown
	numTypes
)

var typeNames = [numTypes]string{"backup", "meta", "auth", "pitr", "unknown"}

// String returns the name of the type in the Storage API.
func (t Type) String() string { return typeNames[t] }

// Types returns all types in order.
func Types() []Type { return []Type{Backup, Meta, Auth, Pitr, Unknown} }

// fileSet describes the files of the stems of a leaf.
type fileSet struct {
	name string // precedes the id
	// single means that each stem has one file, exts[0][0].
	single bool
	// exts[n-1] are the extensions of a stem of n files, in bytewise order. If recorded,
	// exactly one of them is a Backup.
	exts [3][]ext
	// recorded means that most stems have backup records.
	recorded bool
}

// ext is a file extension from the first dot, and the type of the file.
type ext struct {
	text string
	kind Type
}

func (s *fileSet) ext(p place) ext {
	if s.single {
		return s.exts[0][0]
	}
	return s.exts[p.files-1][p.file]
}

func backupFiles(name, auth, backup, meta string) *fileSet {
	a, b, m := ext{auth, Auth}, ext{backup, Backup}, ext{meta, Meta}
	return &fileSet{name: name, recorded: true, exts: [3][]ext{{b}, {b, m}, {a, b, m}}}
}

func singleFile(name, text string, kind Type) *fileSet {
	return &fileSet{name: name, single: true, exts: [3][]ext{{{text, kind}}}}
}

var (
	plainBackups  = backupFiles("bkp_", ".auth", ".backup", ".meta")
	packedBackups = backupFiles("", ".auth.json.gz", ".backup.zst", ".meta.json")
	sealedBackups = backupFiles("b-", ".auth.enc", ".backup.gz", ".meta.gz")
	strayLogs     = singleFile("run-", ".log.txt", Unknown)
	walFiles      = singleFile("", ".wal", Pitr)
)
