package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CRD returns the CustomResourceDefinition of Promotion. It validates the fields
// of this package as Kargo's does (a timeout is any string), but a time only if Go
// can read it, and keeps all others.
func CRD() *apiextensionsv1.CustomResourceDefinition {
	type props = map[string]apiextensionsv1.JSONSchemaProps
	object := func(p props, required ...string) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{
			Type: "object", Properties: p, Required: required, XPreserveUnknownFields: new(true),
		}
	}
	list := func(item apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{
			Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &item},
		}
	}
	text := apiextensionsv1.JSONSchemaProps{Type: "string"}
	// The format alone takes 2026-01-02t03:04:05z, which metav1.Time does not: one
	// such object would fail every list.
	instant := apiextensionsv1.JSONSchemaProps{
		Type: "string", Format: "date-time",
		Pattern: `^[0-9-]{10}T[0-9:]{8}(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`,
	}

	steps := list(object(props{
		"uses":  text,
		"as":    text,
		"retry": object(props{"timeout": text}),
	}))
	steps.MinItems = new(int64(1))
	root := object(props{
		"spec": object(props{"steps": steps}, "steps"),
		"status": object(props{
			"phase":       text,
			"message":     text,
			"startedAt":   instant,
			"finishedAt":  instant,
			"currentStep": {Type: "integer", Format: "int64"},
			"stepExecutionMetadata": list(object(props{
				"alias":      text,
				"status":     text,
				"message":    text,
				"startedAt":  instant,
				"finishedAt": instant,
			})),
		}),
	}, "spec")
	root.XPreserveUnknownFields = nil // the root keeps apiVersion, kind and metadata only

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
