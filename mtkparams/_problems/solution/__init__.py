"""What came out, by name: values, series, tables, pictures."""
