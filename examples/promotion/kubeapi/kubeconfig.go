package kubeapi

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes a file with which other processes, kubectl among them, reach the
// server as a cluster administrator. Only this user can read it.
func (s *Server) WriteKubeconfig(path string) error {
	const name = "kubeapi"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: s.Config.Host, CertificateAuthorityData: s.Config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: s.Config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
}

// LoadKubeconfig reads a kubeconfig, with what it cannot say: the content type that
// a Server speaks, and no throttling.
func LoadKubeconfig(path string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	adapt(cfg)
	return cfg, nil
}

func adapt(cfg *rest.Config) {
	// Left to choose, client-go sends protobuf for built-in kinds, which the handler of
	// custom resources does not speak.
	cfg.ContentType = runtime.ContentTypeJSON
	cfg.QPS = -1 // a throttle in the client would be measured as lateness
}
