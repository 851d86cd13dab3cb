"""A fitted classifier in the forms that others run: ONNX, plain safetensors, a Space, a folder for the Hub."""
