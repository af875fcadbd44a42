package main

import (
	"errors"
	"slices"

	apiclient "firescan/api/client"
)

// nextStep maps codes of errors to what to do about them.
var nextStep = map[apiclient.Code]string{
	apiclient.CodeUNAUTHORIZED:       "set FIRESCAN_TOKEN to a token of `firescan token create --org ORG --role ROLE`",
	apiclient.CodeSTORAGENOTFOUND:    "`firescan destination list` shows all destinations",
	apiclient.CodeINVALIDCREDENTIALS: "check the access key, its secret and the region; `firescan destination update` changes them",
	apiclient.CodeINDEXUNAVAILABLE:   "`firescan sync --watch` lists the bucket again",
}

// isCode reports whether an error is an error of the API with one of codes.
func isCode(err error, codes ...apiclient.Code) bool {
	e, ok := errors.AsType[*apiclient.Error](err)
	return ok && slices.Contains(codes, e.Code)
}

// failureText returns why a file was not deleted, with the reason of the provider.
func failureText(f apiclient.FileFailure) string {
	text := f.Message
	if reason, ok := f.Details["reason"].(string); ok {
		text += ": " + reason
	}
	return oneLine(text)
}
