# bash completion of ctsim, made by `ctsim completion bash`. What can come next is asked of ctsim itself.
_ctsim() {
	local i word rest cut= words=()
	# bash takes --flag=value apart at the equals sign.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((${#words[@]})) && [[ $word == = || (${COMP_WORDS[i - 1]} == = && ${words[${#words[@]} - 1]} == -*=) ]]; then
			words[${#words[@]} - 1]+=$word
		else
			words+=("$word")
		fi
	done
	word=${words[${#words[@]} - 1]}
	if [[ $word == -*=* && $COMP_WORDBREAKS == *=* ]]; then cut=${word%%=*}=; fi
	COMPREPLY=()
	while IFS=$'\t' read -r word rest; do
		case $word in
		:files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$rest") ;;
		:dirs) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$rest") ;;
		*) COMPREPLY+=("${word#"$cut"}") ;;
		esac
	done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete -- "${words[@]}" 2>/dev/null)
}
complete -o nosort -F _ctsim ctsim
