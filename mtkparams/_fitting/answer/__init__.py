"""What was found and how sure it is: errors, intervals, report, pictures."""
