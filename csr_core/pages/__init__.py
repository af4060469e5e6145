"""Pages of the app: the only part of the package that knows Gradio."""
