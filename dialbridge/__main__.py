from dialbridge.cli import main

main()
