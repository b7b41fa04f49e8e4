"""What is to be done: pure functions of settings and facts. No module here touches the outside."""
