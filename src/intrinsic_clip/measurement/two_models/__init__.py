"""Lay the embeddings of two models beside each other: `measure x=old.npy y=text.npy against=new.npy`."""
