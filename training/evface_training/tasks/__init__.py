"""What can be trained: the student's tasks, the interface of all tasks, and their table."""
