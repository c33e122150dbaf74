"""What a job is: its states, where it is kept, who starts it and why it waits. No HTTP and no Ray."""
