package requeuelint

import (
	"fmt"
	"time"
)

var rq011 = Rule{
	Code: "RQ011",
	Doc:  "a constant wait below a microsecond, which lacks its unit",
	run: func(c *code) {
		for _, fn := range c.functions() {
			for _, s := range c.flow.Sinks(fn) {
				for _, one := range c.flow.Cases(s.Wait, s.Known, nothing) {
					if n := one.Sum.C; one.Sum.IsConst() && n > 1 && n < float64(time.Microsecond) {
						pos, end := c.place(s.At)
						c.report(finding{
							pos: pos, end: end,
							cause:       fmt.Sprintf("this wait is %v, as a time.Duration counts nanoseconds", time.Duration(n)),
							consequence: "the object is looked at again at once, over and over",
							remedy:      fmt.Sprintf("write the unit, such as %v * time.Second", n),
						})
						break
					}
				}
			}
		}
	},
}
