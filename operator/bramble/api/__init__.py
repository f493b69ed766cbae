"""What users write and read: the custom resources, their schema, and the CRDs generated from them."""
