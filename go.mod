module github.com/requeue-go/requeue

go 1.24

require (
	github.com/stretchr/testify v1.7.0
	k8s.io/utils v0.0.0-20201110183641-67b214c5f920
)

require (
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	gopkg.in/yaml.v3 v3.0.0-20200313102051-9f266ea9e77c // indirect
)
