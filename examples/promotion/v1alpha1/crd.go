package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CRD returns the CustomResourceDefinition of Promotion. Its spec has the fields of Kargo's and
// no others, with the same types: a timeout is any text. Its status keeps all fields, but takes
// a time only if Go can read it, as one that it cannot would fail every list.
func CRD() *apiextensionsv1.CustomResourceDefinition {
	type schema = apiextensionsv1.JSONSchemaProps
	type props = map[string]schema
	object := func(p props, required ...string) schema {
		return schema{Type: "object", Properties: p, Required: required}
	}
	list := func(item schema) schema {
		return schema{Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &item}}
	}
	open := func(s schema) schema {
		s.XPreserveUnknownFields = new(true)
		return s
	}
	text := schema{Type: "string"}
	// The server takes a list for the format date-time, and times that Go does not. This rule
	// reads a time as metav1.Time does.
	instant := schema{Type: "string", XValidations: apiextensionsv1.ValidationRules{{
		Rule: "timestamp(self).getFullYear() > 0", Message: "want a time such as 2026-01-02T03:04:05Z",
	}}}

	vars := list(object(props{"name": text, "value": text}))
	steps := list(object(props{
		"uses": text, "as": text, "if": text, "continueOnError": {Type: "boolean"},
		"task":   object(props{"kind": text, "name": text}),
		"retry":  object(props{"timeout": text, "errorThreshold": {Type: "integer"}}),
		"vars":   vars,
		"config": open(schema{}),
	}))
	steps.MinItems = new(int64(1))
	root := object(props{
		"spec": object(props{
			"stage": text, "target": text, "freight": text, "vars": vars, "steps": steps,
			"origin": object(props{"kind": text, "name": text}),
		}, "steps"),
		"status": open(object(props{
			"phase": text, "message": text, "startedAt": instant, "finishedAt": instant,
			"currentStep": {Type: "integer", Format: "int64"},
			"stepExecutionMetadata": list(open(object(props{
				"alias": text, "status": text, "message": text, "startedAt": instant, "finishedAt": instant,
			}))),
		})),
	}, "spec")

	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "promotions." + GroupVersion.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: GroupVersion.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Plural: "promotions", Singular: "promotion", Kind: Kind, ListKind: Kind + "List",
				ShortNames: []string{"promo", "promos"},
			},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: GroupVersion.Version, Served: true, Storage: true,
				Schema:       &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &root},
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			}},
		},
	}
}
