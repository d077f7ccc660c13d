package main

import (
	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/scenario"
)

func schemaCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "print the JSON Schema of scenario files",
		Description: "Prints the JSON Schema (draft 2020-12) with which editors complete and check scenario files. Name it in\n" +
			"the first line of a file: # yaml-language-server: $schema=ctsim.schema.json\n\n" +
			"   ctsim schema > ctsim.schema.json",
		Action: inv.schema,
	}
}

func (inv *invocation) schema(c *cli.Context) error {
	if c.NArg() > 0 {
		return inv.Usage("schema", "schema takes no operand, got %q", c.Args().First())
	}
	b, err := scenario.Schema()
	if err != nil {
		return err
	}
	_, err = inv.Stdout.Write(b)
	return err
}
