"""Makes files of a report: JSON, CSV, pictures, the annotated video and a page."""
