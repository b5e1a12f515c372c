"""fakelens finds every face in a video, asks whether it is a deepfake, and shows why."""
