// enrol
