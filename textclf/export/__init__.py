"""Export a fitted classifier: ONNX, plain safetensors, a Gradio Space, a folder for the Hub, MLflow's registry."""
