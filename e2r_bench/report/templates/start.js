bindControls();
bindViewer();
refresh();
openLink();
