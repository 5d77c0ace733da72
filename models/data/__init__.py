"""Files and strings in, records and feature tensors out."""
