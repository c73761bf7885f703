package main

import (
	"bufio"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

//go:embed manifests
var shipped embed.FS

// A manifest is one document of a file, checked. The object is kept as it was
// written, fields that this program does not know included.
type manifest struct {
	name    string
	timeout time.Duration // of the step that will not finish; 0 or less if it has none
	object  *unstructured.Unstructured
}

// copyFor returns the object as it is created in a namespace: with the metadata
// that is the author's, and none that a server or another controller has added
// (a resourceVersion of kubectl get, the finalizer of Kargo).
func (m manifest) copyFor(namespace string) *unstructured.Unstructured {
	object := m.object.DeepCopy()
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	object.Object["metadata"] = map[string]any{"name": m.name, "namespace": namespace}
	object.SetLabels(labels)
	object.SetAnnotations(annotations)
	delete(object.Object, "status")
	return object
}

// loadManifests reads the promotions of a file, of a directory's *.yaml, *.yml
// and *.json files, of standard input ("-"), or the shipped ones ("").
func loadManifests(from string, stdin io.Reader) ([]manifest, error) {
	if from == "-" {
		all, err := parseManifests("standard input", stdin)
		return all, errors.Join(err, checkTogether("standard input", all))
	}
	var (
		fsys fs.FS = shipped
		dir        = "manifests" // in fsys
		show       = func(name string) string { return name }
	)
	if from != "" {
		info, err := os.Stat(from)
		if err != nil {
			return nil, err
		}
		root := from
		if dir = "."; !info.IsDir() {
			root, dir = filepath.Split(from)
		}
		fsys, show = os.DirFS(filepath.Join(root, ".")), func(name string) string { return filepath.Join(root, name) }
	}
	var (
		all  []manifest
		errs []error
	)
	err := fs.WalkDir(fsys, dir, func(name string, entry fs.DirEntry, err error) error {
		switch ext := path.Ext(name); {
		case err != nil:
			return err
		case entry.IsDir() && name != dir:
			return fs.SkipDir
		case entry.IsDir() || name != dir && !slices.Contains([]string{".yaml", ".yml", ".json"}, ext):
			return nil
		}
		file, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		some, err := parseManifests(show(name), file)
		all, errs = append(all, some...), append(errs, err)
		return nil
	})
	return all, errors.Join(err, errors.Join(errs...), checkTogether(show(dir), all))
}

// checkTogether tells what is wrong with manifests that are right one by one.
func checkTogether(from string, all []manifest) (err error) {
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.name] {
			err = errors.Join(err, fmt.Errorf("%s: %w", from, field.Duplicate(field.NewPath("metadata", "name"), m.name)))
		}
		seen[m.name] = true
	}
	if len(all) == 0 {
		err = fmt.Errorf("%s: no manifest of kind %s; want *.yaml, *.yml or *.json files", from, v1alpha1.Kind)
	}
	return err
}

// parseManifests reads the documents of one file. All that is wrong with them is
// told at once, each problem with its document, field and value.
func parseManifests(file string, r io.Reader) (all []manifest, err error) {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; {
		document, readErr := documents.Read()
		if errors.Is(readErr, io.EOF) {
			return all, err
		}
		if readErr != nil {
			return all, errors.Join(err, fmt.Errorf("%s: document %d: %w", file, n, readErr))
		}
		var object map[string]any
		if yamlErr := yaml.UnmarshalStrict(document, &object); yamlErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: document %d: %w", file, n, yamlErr))
			n++
			continue
		}
		if object == nil { // nothing, or nothing but comments: not counted
			continue
		}
		m, problems := checkManifest(object)
		for _, problem := range problems {
			err = errors.Join(err, fmt.Errorf("%s: document %d: %w", file, n, problem))
		}
		all = append(all, m)
		n++
	}
}

// schema is that of the CRD, so that what the API server would refuse is refused
// before there is one.
var schema = sync.OnceValue(func() validation.SchemaValidator {
	var internal apiextensions.JSONSchemaProps
	props := v1alpha1.CRD().Spec.Versions[0].Schema.OpenAPIV3Schema
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil)
	utilruntime.Must(err)
	validator, _, err := validation.NewSchemaValidator(&internal)
	utilruntime.Must(err)
	return validator
})

// checkManifest reads the fields that this program needs.
func checkManifest(object map[string]any) (manifest, field.ErrorList) {
	m := manifest{object: &unstructured.Unstructured{Object: object}}
	problems := validation.ValidateCustomResource(nil, object, schema())
	for _, problem := range problems {
		// Of a wrong type the schema names the type where the value belongs.
		if value, found := valueAt(object, problem.Field); found {
			problem.BadValue = value
		}
	}
	if got, want := m.object.GetAPIVersion(), v1alpha1.GroupVersion.String(); got != want {
		problems = append(problems, field.NotSupported(field.NewPath("apiVersion"), got, []string{want}))
	}
	if got := m.object.GetKind(); got != v1alpha1.Kind {
		problems = append(problems, field.NotSupported(field.NewPath("kind"), got, []string{v1alpha1.Kind}))
	}
	problems = append(problems, checkMetadata(object["metadata"])...)
	m.name = m.object.GetName()
	for _, wrong := range utilvalidation.IsDNS1123Subdomain(m.name) {
		problems = append(problems, field.Invalid(field.NewPath("metadata", "name"), m.name, wrong))
	}
	steps, _, _ := unstructured.NestedSlice(object, "spec", "steps")
	for i, step := range steps {
		step, _ := step.(map[string]any)
		text, found, err := unstructured.NestedString(step, "retry", "timeout")
		if !found || err != nil { // an error is the schema's to tell
			continue
		}
		timeout, err := time.ParseDuration(text)
		if err != nil {
			problems = append(problems, field.Invalid(field.NewPath("spec", "steps").Index(i).Child("retry", "timeout"),
				text, "want a duration such as 90s or 5m"))
		}
		if m.timeout <= 0 { // the first step that may time out is the one that will
			m.timeout = timeout
		}
	}
	return m, problems
}

// checkMetadata checks the types of all metadata and what labels and annotations
// may be.
func checkMetadata(value any) (problems field.ErrorList) {
	path := field.NewPath("metadata")
	data, err := json.Marshal(value)
	if err != nil {
		return field.ErrorList{field.Invalid(path, value, err.Error())}
	}
	var metadata metav1.ObjectMeta
	if err := json.Unmarshal(data, &metadata); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			path = path.Child(wrong.Field)
			value, _ = valueAt(value, wrong.Field)
		}
		return field.ErrorList{field.Invalid(path, value, err.Error())}
	}
	problems = metav1validation.ValidateLabels(metadata.Labels, path.Child("labels"))
	return append(problems, apivalidation.ValidateAnnotations(metadata.Annotations, path.Child("annotations"))...)
}

// valueAt returns the value at a path such as spec.steps[0].retry.
func valueAt(object any, path string) (any, bool) {
	for _, key := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		switch in := object.(type) {
		case map[string]any:
			value, found := in[key]
			if !found {
				return nil, false
			}
			object = value
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				return nil, false
			}
			object = in[i]
		default:
			return nil, false
		}
	}
	return object, true
}
