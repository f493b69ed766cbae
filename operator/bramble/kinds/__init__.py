"""The five kinds. Each is a package: model, gather (read), plan (pure) with its policies, render (children), status."""
