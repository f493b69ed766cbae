"""Makes every variant of a model and validates it: finished packages with golden cases, size, scores and the drop from fp32."""
