#compdef ctsim
# zsh completion of ctsim, made by `ctsim completion zsh`. What can come next is asked of ctsim itself.
_ctsim() {
	local line
	local -a described
	for line in "${(@f)$(${(e)~words[1]} __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:files*) compset -P '-*='; _files ;;
		:dirs*) compset -P '-*='; _files -/ ;;
		*$'\t') described+=("${${line%$'\t'}//:/\\:}") ;;
		*) described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		esac
	done
	(( $#described )) && _describe -V ctsim described
}
if [[ $funcstack[1] == _ctsim ]]; then
	_ctsim "$@"
else
	compdef _ctsim ctsim
fi
