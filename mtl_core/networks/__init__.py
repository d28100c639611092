"""Networks: encoders and heads. One file per architecture."""
