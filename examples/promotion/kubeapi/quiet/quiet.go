// Package quiet silences etcd's client in k8s.io/apiserver, which takes no logger. The client
// makes one from this config when its package is initialised. Go initialises this package
// before that one, as it sorts by import path what is ready.
package quiet

import "go.etcd.io/etcd/client/pkg/v3/logutil"

func init() { logutil.DefaultZapLoggerConfig.OutputPaths = nil }
