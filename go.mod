module github.com/requeue-go/requeue

go 1.24

require (
	github.com/stretchr/testify v1.12.1
	k8s.io/utils v0.0.0-20260626114624-be93311217bd
	pgregory.net/rapid v1.3.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect
