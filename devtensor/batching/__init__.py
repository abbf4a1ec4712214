"""Examples side by side: tensors that ops see as one example and that hold many."""
